-- People who sign in and what they hold; tickets and keys in full; who hears of events.

-- People. The login is normalised, and one of the whole installation: who signs in names no team.
ALTER TABLE person ADD COLUMN login TEXT_KEY;
ALTER TABLE person ADD COLUMN signed_in_at BIGINT;
ALTER TABLE person ADD COLUMN removed_at BIGINT;
CREATE UNIQUE INDEX person_login ON person (login) WHERE login IS NOT NULL;

CREATE TABLE password (
    user_id UUID_T PRIMARY KEY REFERENCES person (id),
    -- Argon2id in the PHC string format.
    phc TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE second_factor (
    user_id UUID_T PRIMARY KEY REFERENCES person (id),
    -- The shared secret of RFC 6238, sealed.
    sealed BYTES_T NOT NULL,
    created_at BIGINT NOT NULL,
    -- Not asked for before its owner showed that they have it.
    confirmed_at BIGINT,
    -- The last time step a code was taken of: no code counts twice.
    last_step BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    user_id UUID_T NOT NULL REFERENCES person (id),
    verifier BYTES_T NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, verifier)
);

-- Browsers that are signed in.
CREATE TABLE web_session (
    id TEXT_KEY PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    user_id UUID_T NOT NULL REFERENCES person (id),
    verifier BYTES_T NOT NULL,
    -- The listener it was made at, and the only one it is good at.
    listener TEXT_KEY NOT NULL,
    -- How its owner signed in: password, oidc, recovery.
    method TEXT_KEY NOT NULL,
    source TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX web_session_user ON web_session (user_id, created_at, id);
CREATE INDEX web_session_expiry ON web_session (expires_at);

CREATE TABLE invitation (
    id TEXT_KEY PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    name TEXT_KEY NOT NULL,
    role TEXT_KEY NOT NULL,
    verifier BYTES_T NOT NULL,
    created_by TEXT NOT NULL,
    -- The API token it was made with: revoked with it.
    minted_with TEXT_KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    accepted_at BIGINT,
    accepted_by UUID_T
);
CREATE INDEX invitation_team ON invitation (team_id, created_at, id);
CREATE INDEX invitation_maker ON invitation (created_by) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitation_made ON invitation (minted_with) WHERE minted_with IS NOT NULL;
CREATE INDEX invitation_expiry ON invitation (expires_at);

-- API tokens. Without scopes a token may what its owner may; with scopes never more than both.
ALTER TABLE operator_token ADD COLUMN name TEXT_KEY;
ALTER TABLE operator_token ADD COLUMN scopes TEXT;
-- The only team it acts in; without, those of its owner.
ALTER TABLE operator_token ADD COLUMN bound_team_id UUID_T;
-- The token it was made with: revoked with it.
ALTER TABLE operator_token ADD COLUMN minted_with TEXT_KEY;
ALTER TABLE operator_token ADD COLUMN last_used_at BIGINT;
ALTER TABLE operator_token ADD COLUMN last_used_from TEXT;
CREATE INDEX operator_token_user ON operator_token (user_id, created_at, id);
CREATE INDEX operator_token_team ON operator_token (team_id, created_at, id);
CREATE INDEX operator_token_good ON operator_token (user_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX operator_token_made ON operator_token (minted_with) WHERE minted_with IS NOT NULL;
CREATE INDEX operator_token_revoked ON operator_token (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX operator_token_expiry ON operator_token (expires_at) WHERE expires_at IS NOT NULL;

-- Providers of OpenID Connect, and who came by them.
CREATE TABLE oidc_provider (
    name TEXT_KEY PRIMARY KEY,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    sealed_secret BYTES_T NOT NULL,
    scopes TEXT NOT NULL,
    groups_claim TEXT NOT NULL,
    -- Group, team and role, the first that fits.
    mappings TEXT NOT NULL,
    -- Whether people may sign in with it now.
    allowed BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE oidc_identity (
    issuer TEXT_KEY NOT NULL,
    subject TEXT_KEY NOT NULL,
    user_id UUID_T NOT NULL REFERENCES person (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX oidc_identity_user ON oidc_identity (user_id);
CREATE INDEX oidc_identity_people ON oidc_identity (issuer, user_id);

-- Issuers no provider has any more: who came by them is signed out in the order of their ids, over as many transactions
-- as it takes.
CREATE TABLE issuer_sign_out (
    issuer TEXT_KEY PRIMARY KEY,
    provider TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT_KEY,
    source TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    -- Up to this person everybody is done.
    after_user UUID_T
);

-- Tickets in full: a rotated site key names the one that took its place; ephemeral hosts retire by themselves.
ALTER TABLE ticket ADD COLUMN rotated_to TEXT_KEY;
ALTER TABLE ticket ADD COLUMN rotated_at BIGINT;
ALTER TABLE ticket ADD COLUMN rotated_out_at BIGINT;
ALTER TABLE ticket ADD COLUMN ephemeral_hours BIGINT;
ALTER TABLE host ADD COLUMN ephemeral_hours BIGINT;
-- Who was suspended could not be heard of: silence counts from here on.
ALTER TABLE host ADD COLUMN resumed_at BIGINT;
CREATE INDEX host_ephemeral ON host (id) WHERE ephemeral_hours IS NOT NULL AND retired_at IS NULL;

-- The last requests of each cause at a ticket, by what their machines may quote: a ring, so that no flood fills it.
CREATE TABLE refused_request (
    ticket_id TEXT_KEY NOT NULL,
    cause TEXT_KEY NOT NULL,
    slot BIGINT NOT NULL,
    request_id TEXT_KEY NOT NULL,
    at BIGINT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (ticket_id, cause, slot)
);
CREATE INDEX refused_request_id ON refused_request (request_id);

-- Tickets that leaked: the hosts they admitted are suspended in the order of their ids, over as many transactions as
-- it takes.
CREATE TABLE leak (
    ticket_id TEXT_KEY PRIMARY KEY REFERENCES ticket (id),
    team_id UUID_T NOT NULL REFERENCES team (id),
    since BIGINT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT_KEY,
    source TEXT NOT NULL,
    reported_at BIGINT NOT NULL,
    -- Up to this host everybody is done.
    after_host UUID_T,
    done_at BIGINT
);
CREATE INDEX leak_open ON leak (reported_at) WHERE done_at IS NULL;

-- A machine without a key pair may have two agent keys; a key pair stays the only key of its host.
ALTER TABLE host_key ADD COLUMN created_by TEXT;
ALTER TABLE host_key ADD COLUMN first_used_at BIGINT;
ALTER TABLE host_key ADD COLUMN last_used_at BIGINT;
DROP INDEX host_key_active;
CREATE UNIQUE INDEX host_key_active_pair ON host_key (host_id)
 WHERE state = 'active' AND name >= 'jkt:' AND name < 'jkt;';
CREATE INDEX host_key_active ON host_key (host_id) WHERE state = 'active';
-- The hosts of a ticket in the order of their ids, however many it admitted.
CREATE INDEX host_key_admitted ON host_key (ticket_id, host_id, created_at) WHERE ticket_id IS NOT NULL;

-- Each key of a host has its generations: two in turn are no copy of each other. Gone with the key.
CREATE TABLE key_generation (
    key_name TEXT_KEY PRIMARY KEY,
    host_id UUID_T NOT NULL REFERENCES host (id),
    committed_epoch BIGINT NOT NULL,
    committed_counter BIGINT NOT NULL,
    issued_epoch BIGINT,
    issued_counter BIGINT,
    boot_id TEXT,
    -- The start of the machine that last showed an old generation: told once.
    suspected_boot_id TEXT
);
INSERT INTO key_generation (key_name, host_id, committed_epoch, committed_counter, issued_epoch, issued_counter,
                            boot_id, suspected_boot_id)
SELECT host_generation.key_name, host_generation.host_id, committed_epoch, committed_counter, issued_epoch,
       issued_counter, boot_id, suspected_boot_id
  FROM host_generation JOIN host_key ON host_key.name = host_generation.key_name AND host_key.state = 'active';
DROP TABLE host_generation;

-- The role somebody acted in, and the names of the fields they changed; rows of before have neither.
ALTER TABLE audit ADD COLUMN role TEXT_KEY;
ALTER TABLE audit ADD COLUMN changed TEXT;
-- The host it is about.
ALTER TABLE audit ADD COLUMN host_id UUID_T;
-- What proves to the sealer that the server wrote the row.
ALTER TABLE audit ADD COLUMN written BYTES_T;
CREATE INDEX audit_actor ON audit (team_id, actor, position);
CREATE INDEX audit_host ON audit (team_id, host_id, position) WHERE host_id IS NOT NULL;
CREATE INDEX audit_outcome ON audit (team_id, outcome, position);
CREATE INDEX audit_time ON audit (team_id, at, position);

-- Who did it, and the host an event is about: events about one host are delivered in their order.
ALTER TABLE outbox ADD COLUMN actor TEXT;
ALTER TABLE outbox ADD COLUMN host_id UUID_T;
CREATE INDEX outbox_host ON outbox (host_id, position) WHERE host_id IS NOT NULL;

-- Who hears of events: webhooks, mail, chats.
CREATE TABLE endpoint (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    kind TEXT_KEY NOT NULL,
    name TEXT_KEY NOT NULL,
    -- What is shown of where it goes.
    shown_target TEXT NOT NULL,
    -- Where it goes, with its credentials: JSON, sealed.
    sealed BYTES_T NOT NULL,
    -- Counts the changes of what is sealed.
    version BIGINT NOT NULL,
    -- JSON list of kinds of events; empty: all.
    events TEXT NOT NULL,
    -- JSON: from, to and time zone; none: never quiet.
    quiet_hours TEXT,
    -- How long events are gathered into one message.
    group_for_secs BIGINT NOT NULL,
    -- Events up to here have their deliveries.
    position BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    paused_at BIGINT,
    resumed_at BIGINT,
    -- Since when deliveries are given up; until one is taken again.
    failing_since BIGINT,
    -- Tries in a row that it took nothing of; while there are any, one goes out at a time, and none before next_try_at.
    failures BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT NOT NULL DEFAULT 0,
    -- Nothing of what waits may go before; what comes later may bring it forward.
    next_look_at BIGINT NOT NULL DEFAULT 0,
    -- Its deliveries go in batches, then it goes.
    removed_at BIGINT
);
CREATE UNIQUE INDEX endpoint_name ON endpoint (team_id, name) WHERE removed_at IS NULL;
CREATE INDEX endpoint_team ON endpoint (team_id, id);

CREATE TABLE delivery (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL,
    endpoint_id UUID_T NOT NULL REFERENCES endpoint (id),
    event_id UUID_T NOT NULL,
    position BIGINT NOT NULL,
    -- What keeps its order: a host's id, else what the event is about; nothing for people.
    line TEXT_KEY NOT NULL,
    -- 1: people want to be woken for it.
    urgent BIGINT NOT NULL,
    state TEXT_KEY NOT NULL,
    attempts BIGINT NOT NULL,
    tried_since BIGINT NOT NULL,
    -- Of a line only the first has a time.
    next_at BIGINT NOT NULL,
    last_at BIGINT,
    last_status BIGINT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    done_at BIGINT,
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX delivery_due ON delivery (endpoint_id, next_at, position) WHERE state = 'waiting';
CREATE INDEX delivery_line ON delivery (endpoint_id, line, position) WHERE state = 'waiting';
CREATE INDEX delivery_oldest ON delivery (endpoint_id, position) WHERE state = 'waiting';
CREATE INDEX delivery_urgent ON delivery (endpoint_id, position) WHERE state = 'waiting' AND urgent = 1;
CREATE INDEX delivery_log ON delivery (endpoint_id, position);
CREATE INDEX delivery_done ON delivery (done_at) WHERE done_at IS NOT NULL;

-- What operators set for the whole installation; defaults are in the program.
CREATE TABLE setting (
    name TEXT_KEY PRIMARY KEY,
    value TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
