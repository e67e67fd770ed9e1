-- What was seen of the fleet and of each host, kept for some days; what an overview finds by an index.

-- How many active hosts of a team could be reached, every five minutes.
CREATE TABLE fleet_sample (
    team_id UUID_T NOT NULL REFERENCES team (id),
    at BIGINT NOT NULL,
    online BIGINT NOT NULL,
    unreachable BIGINT NOT NULL,
    offline BIGINT NOT NULL,
    never_seen BIGINT NOT NULL,
    PRIMARY KEY (team_id, at)
);
CREATE INDEX fleet_sample_age ON fleet_sample (at);

-- Whether a host could be reached when that was last noted; a host without a row was never seen. Beside the narrow
-- table and not in it: that one is flushed every second.
CREATE TABLE presence_noted (
    host_id UUID_T PRIMARY KEY REFERENCES host (id),
    status TEXT_KEY NOT NULL,
    at BIGINT NOT NULL
);

-- Who was there before this was noted has been there since they were last heard; the next count says what became of it.
INSERT INTO presence_noted (host_id, status, at)
SELECT presence.host_id,
       CASE WHEN said_goodbye = 1 OR host.state IN ('suspended', 'retired') THEN 'offline' ELSE 'online' END, seen_at
  FROM presence JOIN host ON host.id = presence.host_id WHERE seen_at IS NOT NULL;

CREATE TABLE presence_change (
    host_id UUID_T NOT NULL REFERENCES host (id),
    at BIGINT NOT NULL,
    was TEXT_KEY NOT NULL,
    status TEXT_KEY NOT NULL,
    PRIMARY KEY (host_id, at)
);
CREATE INDEX presence_change_age ON presence_change (at);

-- What a host said about how it is: a row a day, of 24 fields of one width.
CREATE TABLE host_vitals (
    host_id UUID_T NOT NULL REFERENCES host (id),
    -- Days since the Unix epoch.
    day BIGINT NOT NULL,
    hours TEXT NOT NULL,
    PRIMARY KEY (host_id, day)
);
CREATE INDEX host_vitals_age ON host_vitals (day);

-- What a host said about itself and then said differently: the last ones of each host.
CREATE TABLE fact_change (
    host_id UUID_T NOT NULL REFERENCES host (id),
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    fact TEXT_KEY NOT NULL,
    was TEXT,
    became TEXT,
    PRIMARY KEY (host_id, n)
);
CREATE INDEX fact_change_age ON fact_change (at);

-- What the machine's own policy allows, as its agent says: a JSON list.
ALTER TABLE host ADD COLUMN policy TEXT;
ALTER TABLE host ADD COLUMN policy_at BIGINT;

CREATE INDEX claim_waiting ON claim (team_id, id) WHERE state = 'waiting';
-- Those by host and by ticket carry the team: a planner that has no figures would else take the one above, which holds
-- every claim of a team that waits.
DROP INDEX claim_on_host;
CREATE INDEX claim_on_host ON claim (host_id, team_id, id) WHERE state = 'waiting' AND host_id IS NOT NULL;
DROP INDEX claim_by_ticket;
CREATE INDEX claim_by_ticket ON claim (ticket_id, team_id, id) WHERE state = 'waiting' AND ticket_id IS NOT NULL;
-- The longest-standing first.
DROP INDEX host_held;
CREATE INDEX host_held ON host (team_id, held_at, id) WHERE held_at IS NOT NULL;
CREATE INDEX host_name ON host (team_id, name, id);
CREATE INDEX job_unended ON job (team_id) WHERE state IN ('queued', 'dispatched', 'running');
CREATE INDEX job_went_wrong ON job (team_id, finished_at, state) WHERE state IN ('failed', 'lost');
CREATE INDEX ticket_site_key_lapse ON ticket (team_id, expires_at)
 WHERE kind = 'site_key' AND expires_at IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX endpoint_failing ON endpoint (team_id, id) WHERE failing_since IS NOT NULL AND removed_at IS NULL;
CREATE INDEX outbox_unreadable ON outbox (team_id, at) WHERE kind = 'secret.unreadable';
-- The look for sessions that lapsed reads those that are open, and no others.
CREATE INDEX web_session_open ON web_session (id) WHERE ended_at IS NULL;
