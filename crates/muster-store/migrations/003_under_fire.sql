-- Copies of hosts, the rotation of keys, and what a fleet under fire needs.

-- A claim may come without a ticket: a copy of a host that had joined proves itself with the key it was copied with.
CREATE TABLE claim_anew (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    site_id UUID_T NOT NULL REFERENCES site (id),
    ticket_id TEXT_KEY,
    host_id UUID_T,
    reason TEXT_KEY NOT NULL,
    state TEXT_KEY NOT NULL,
    key_name TEXT_KEY NOT NULL,
    key_material BYTES_T NOT NULL,
    -- The key a copy was made with; as long as it made itself no other, the same as key_name.
    former_key TEXT_KEY,
    -- The start of the machine that showed an older state.
    boot_id TEXT_KEY,
    -- Of a copy: what both sides showed.
    sighting TEXT,
    machine_uid TEXT_KEY NOT NULL,
    hostname TEXT NOT NULL,
    facts TEXT NOT NULL,
    labels TEXT NOT NULL,
    source_address TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    result_host_id UUID_T
);
INSERT INTO claim_anew (id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material, machine_uid,
                        hostname, facts, labels, source_address, created_at, expires_at, decided_at, decided_by,
                        result_host_id)
SELECT id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material, machine_uid, hostname, facts,
       labels, source_address, created_at, expires_at, decided_at, decided_by, result_host_id
  FROM claim;
DROP TABLE claim;
ALTER TABLE claim_anew RENAME TO claim;
CREATE UNIQUE INDEX claim_of_key ON claim (site_id, key_name)
    WHERE state IN ('waiting', 'rejected') AND (former_key IS NULL OR former_key <> key_name);
-- A copy that made itself no key of its own is one question per start of its machine.
CREATE UNIQUE INDEX claim_of_copy ON claim (host_id, boot_id)
    WHERE state IN ('waiting', 'rejected') AND former_key = key_name;
CREATE INDEX claim_team ON claim (team_id, id);
CREATE INDEX claim_on_host ON claim (host_id) WHERE state = 'waiting' AND host_id IS NOT NULL;
CREATE INDEX claim_at_site ON claim (site_id) WHERE state = 'waiting';
CREATE INDEX claim_by_ticket ON claim (ticket_id) WHERE state = 'waiting' AND ticket_id IS NOT NULL;
CREATE INDEX claim_expiry ON claim (expires_at) WHERE state = 'waiting';

-- A host that may be the copy: it gets and does nothing until a person answered.
ALTER TABLE host ADD COLUMN held_at BIGINT;
CREATE INDEX host_held ON host (team_id, id) WHERE held_at IS NOT NULL;
-- When it was last told that as many copies of it wait as may, and as many claims at a site.
ALTER TABLE host ADD COLUMN copies_full_at BIGINT;
ALTER TABLE site ADD COLUMN claims_full_at BIGINT;

-- At most one next key; it takes the place of the active one when its machine first connects with it.
CREATE UNIQUE INDEX host_key_next ON host_key (host_id) WHERE state = 'next';
-- The active key should be replaced since then.
ALTER TABLE host ADD COLUMN rotation_asked_at BIGINT;
CREATE INDEX host_rotation ON host (id) WHERE rotation_asked_at IS NOT NULL;
-- The key its machine made to take this one's place: nobody else ever held what this one received.
ALTER TABLE host_key ADD COLUMN rotated_to TEXT_KEY;
CREATE INDEX host_key_age ON host_key (created_at, name) WHERE state = 'active';
-- The statement of pins its agent keeps, by when it was issued.
ALTER TABLE host ADD COLUMN pins_issued_at BIGINT;

-- How often and since when the wanted configuration was sent and not yet confirmed.
-- Since when it is the wanted one.
ALTER TABLE host_config ADD COLUMN changed_at BIGINT;
ALTER TABLE host_config ADD COLUMN sent_at BIGINT;
ALTER TABLE host_config ADD COLUMN sent_times BIGINT NOT NULL DEFAULT 0;

CREATE INDEX revocation_age ON revocation (revoked_at);

-- What lapses is ended, so that no clock that is set back opens it again.
CREATE INDEX ticket_lapse ON ticket (expires_at) WHERE revoked_at IS NULL AND spent_by_key IS NULL;
CREATE INDEX ticket_rotated_out ON ticket (rotated_out_at) WHERE revoked_at IS NULL AND rotated_out_at IS NOT NULL;

-- What is over is found by its age, and dropped in batches.
CREATE INDEX claim_over ON claim (decided_at) WHERE state NOT IN ('waiting', 'rejected');
CREATE INDEX job_over ON job (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX job_logged ON job (finished_at) WHERE finished_at IS NOT NULL AND log_lines > 0;
CREATE INDEX refusal_age ON refusal (last_at);
CREATE INDEX refused_request_age ON refused_request (at);
CREATE INDEX ticket_unused_expired ON ticket (expires_at) WHERE spent_by_key IS NULL AND uses = 0;
CREATE INDEX ticket_unused_revoked ON ticket (revoked_at) WHERE spent_by_key IS NULL AND uses = 0;
-- What a key received is exposed when a copy of it shows itself.
CREATE INDEX claim_of_former_key ON claim (former_key) WHERE former_key IS NOT NULL;
CREATE INDEX secret_delivery_of_key ON secret_delivery (key_name);
