-- The first slice: teams, people, sites, tickets, hosts, keys, claims, secrets, channels, jobs, audit, outbox.
-- Times are milliseconds since the Unix epoch; booleans are 0 or 1; JSON is TEXT.

-- Facts of the installation, each under one name: master-key check value, epoch, instruction key, public URLs, heads of
-- audit trail and outbox.
CREATE TABLE installation (
    name TEXT_KEY PRIMARY KEY,
    value BYTES_T NOT NULL
);

CREATE TABLE team (
    id UUID_T PRIMARY KEY,
    name TEXT_KEY NOT NULL UNIQUE,
    is_platform BIGINT NOT NULL,
    wrapped_key BYTES_T NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX team_platform ON team (is_platform) WHERE is_platform = 1;

CREATE TABLE person (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    name TEXT_KEY NOT NULL,
    role TEXT_KEY NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (team_id, name)
);
CREATE INDEX person_team ON person (team_id, id);

CREATE TABLE operator_token (
    id TEXT_KEY PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    user_id UUID_T NOT NULL REFERENCES person (id),
    verifier BYTES_T NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE TABLE site (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    name TEXT_KEY NOT NULL,
    policy TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (team_id, name)
);

CREATE TABLE host (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    site_id UUID_T NOT NULL REFERENCES site (id),
    kind TEXT_KEY NOT NULL,
    name TEXT_KEY NOT NULL,
    state TEXT_KEY NOT NULL,
    door BIGINT,
    disposition TEXT_KEY,
    provider TEXT,
    zone TEXT,
    machine_uid TEXT_KEY,
    owns_uid BIGINT NOT NULL,
    hostname TEXT_KEY,
    facts TEXT,
    labels TEXT,
    ticket_id TEXT_KEY,
    created_at BIGINT NOT NULL,
    enrolled_at BIGINT,
    retired_at BIGINT,
    released_uid_at BIGINT
);
-- A living host owns its uid: retiring clears owns_uid, the tombstone keeps the uid and when it was released.
CREATE UNIQUE INDEX host_owner_of_uid ON host (team_id, machine_uid) WHERE owns_uid = 1;
CREATE INDEX host_former_uid ON host (team_id, machine_uid) WHERE released_uid_at IS NOT NULL;
CREATE INDEX host_site ON host (team_id, site_id, id);
CREATE INDEX host_team ON host (team_id, id);
-- Counts the surge: hosts a site got through door 3.
CREATE INDEX host_arrival ON host (site_id, enrolled_at) WHERE door = 3;

CREATE TABLE host_tag (
    team_id UUID_T NOT NULL,
    host_id UUID_T NOT NULL REFERENCES host (id),
    tag TEXT_KEY NOT NULL,
    PRIMARY KEY (host_id, tag)
);
CREATE INDEX host_tag_tag ON host_tag (team_id, tag, host_id);

-- Every key a host ever proved itself with. A name is here once, for ever.
CREATE TABLE host_key (
    name TEXT_KEY PRIMARY KEY,
    team_id UUID_T NOT NULL,
    host_id UUID_T NOT NULL REFERENCES host (id),
    -- SEC1 point of a key pair, or the verifier of an agent key.
    material BYTES_T NOT NULL,
    state TEXT_KEY NOT NULL,
    -- The ticket it was admitted with: one row is one use of that ticket.
    ticket_id TEXT_KEY,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_by TEXT
);
CREATE UNIQUE INDEX host_key_active ON host_key (host_id) WHERE state = 'active';
CREATE INDEX host_key_host ON host_key (host_id, name);
CREATE INDEX host_key_ticket ON host_key (ticket_id, created_at) WHERE ticket_id IS NOT NULL;

CREATE TABLE ticket (
    id TEXT_KEY PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    kind TEXT_KEY NOT NULL,
    site_id UUID_T NOT NULL REFERENCES site (id),
    host_id UUID_T,
    rejoin BIGINT NOT NULL,
    require_key BIGINT NOT NULL,
    host_name TEXT,
    tags TEXT NOT NULL,
    verifier BYTES_T NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    max_uses BIGINT,
    uses BIGINT NOT NULL,
    spent_by_key TEXT_KEY,
    spent_by_host UUID_T,
    spent_disposition TEXT_KEY,
    reserved_for TEXT_KEY
);
CREATE INDEX ticket_team ON ticket (team_id, created_at, id);
CREATE INDEX ticket_host ON ticket (host_id) WHERE host_id IS NOT NULL;
CREATE INDEX ticket_expiry ON ticket (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL;

-- Why a ticket opened no door, aggregated so that a flood cannot fill the disk.
CREATE TABLE refusal (
    ticket_id TEXT_KEY NOT NULL,
    cause TEXT_KEY NOT NULL,
    count BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    last_source TEXT NOT NULL,
    last_request_id TEXT NOT NULL,
    PRIMARY KEY (ticket_id, cause)
);

CREATE TABLE claim (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    site_id UUID_T NOT NULL REFERENCES site (id),
    ticket_id TEXT_KEY NOT NULL,
    host_id UUID_T,
    reason TEXT_KEY NOT NULL,
    state TEXT_KEY NOT NULL,
    key_name TEXT_KEY NOT NULL,
    key_material BYTES_T NOT NULL,
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
CREATE UNIQUE INDEX claim_of_key ON claim (site_id, key_name) WHERE state IN ('waiting', 'rejected');
CREATE INDEX claim_team ON claim (team_id, id);
CREATE INDEX claim_on_host ON claim (host_id) WHERE state = 'waiting' AND host_id IS NOT NULL;
CREATE INDEX claim_at_site ON claim (site_id) WHERE state = 'waiting';
CREATE INDEX claim_by_ticket ON claim (ticket_id) WHERE state = 'waiting';
CREATE INDEX claim_expiry ON claim (expires_at) WHERE state = 'waiting';

CREATE TABLE secret (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    owner_kind TEXT_KEY NOT NULL,
    owner_id TEXT_KEY NOT NULL,
    name TEXT_KEY NOT NULL,
    version BIGINT NOT NULL,
    fields TEXT NOT NULL,
    blob BYTES_T NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (team_id, owner_kind, owner_id, name)
);

CREATE TABLE secret_delivery (
    secret_id UUID_T NOT NULL REFERENCES secret (id),
    version BIGINT NOT NULL,
    key_name TEXT_KEY NOT NULL,
    -- From here on the key may have it, whether or not its agent ever says so.
    sent_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    PRIMARY KEY (secret_id, version, key_name)
);

-- What a host should have, and has.
CREATE TABLE host_config (
    host_id UUID_T PRIMARY KEY REFERENCES host (id),
    epoch BIGINT NOT NULL,
    n BIGINT NOT NULL,
    applied_epoch BIGINT,
    applied_n BIGINT,
    applied_at BIGINT
);

CREATE TABLE host_generation (
    host_id UUID_T PRIMARY KEY REFERENCES host (id),
    -- The key they are of: another key begins anew.
    key_name TEXT_KEY,
    committed_epoch BIGINT NOT NULL,
    committed_counter BIGINT NOT NULL,
    issued_epoch BIGINT,
    issued_counter BIGINT,
    boot_id TEXT,
    -- The start of the machine that last showed an old generation: told once.
    suspected_boot_id TEXT
);

-- Narrow on purpose: flushed in batches by integer key.
CREATE TABLE presence (
    seq SERIAL_T,
    host_id UUID_T NOT NULL UNIQUE,
    seen_at BIGINT,
    said_goodbye BIGINT NOT NULL,
    -- Whether the last event about it said that it cannot be reached.
    told_unreachable BIGINT NOT NULL
);

CREATE TABLE job (
    id UUID_T PRIMARY KEY,
    team_id UUID_T NOT NULL REFERENCES team (id),
    host_id UUID_T NOT NULL REFERENCES host (id),
    work TEXT NOT NULL,
    state TEXT_KEY NOT NULL,
    attempt BIGINT NOT NULL,
    attempt_key TEXT_KEY,
    secret_version BIGINT NOT NULL,
    time_limit_secs BIGINT NOT NULL,
    progress TEXT,
    result TEXT,
    failure TEXT,
    late BIGINT NOT NULL,
    -- What is stored of its log; a log that was cut has more lines than may be.
    log_lines BIGINT NOT NULL,
    log_bytes BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    dispatched_at BIGINT,
    started_at BIGINT,
    renewed_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX job_team ON job (team_id, id);
CREATE INDEX job_host ON job (host_id, id);
CREATE INDEX job_open ON job (host_id, state) WHERE state IN ('queued', 'dispatched', 'running');
CREATE INDEX job_lease ON job (renewed_at) WHERE state IN ('dispatched', 'running');

CREATE TABLE job_log (
    job_id UUID_T NOT NULL REFERENCES job (id),
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job_id, n)
);

-- Append-only: what every node must stop trusting. One node cuts its own sockets itself; others will read these rows.
CREATE TABLE revocation (
    seq SERIAL_T,
    team_id UUID_T NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    revoked_at BIGINT NOT NULL
);

-- Rows are inserted without a position; the sealer gives committed rows the next one, in the order of their seq, and
-- chains those of the audit trail over their text as it is stored. The last link is kept in installation, too.
CREATE TABLE audit (
    seq SERIAL_T,
    id UUID_T NOT NULL UNIQUE,
    team_id UUID_T NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    source TEXT NOT NULL,
    action TEXT_KEY NOT NULL,
    target TEXT_KEY NOT NULL,
    outcome TEXT NOT NULL,
    details TEXT NOT NULL,
    position BIGINT UNIQUE,
    mac BYTES_T
);
CREATE INDEX audit_unsealed ON audit (seq) WHERE position IS NULL;
CREATE INDEX audit_team ON audit (team_id, position);
CREATE INDEX audit_action ON audit (team_id, action, position);
CREATE INDEX audit_target ON audit (team_id, target, position);

CREATE TABLE outbox (
    seq SERIAL_T,
    id UUID_T NOT NULL UNIQUE,
    team_id UUID_T NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT_KEY NOT NULL,
    subject TEXT_KEY NOT NULL,
    payload TEXT NOT NULL,
    position BIGINT UNIQUE
);
CREATE INDEX outbox_unsealed ON outbox (seq) WHERE position IS NULL;
CREATE INDEX outbox_team ON outbox (team_id, position);

-- The sealed reply of a POST that showed something once, by who asked and their Idempotency-Key.
CREATE TABLE idempotent_reply (
    principal TEXT_KEY NOT NULL,
    key TEXT_KEY NOT NULL,
    request BYTES_T NOT NULL,
    reply BYTES_T NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotent_reply_age ON idempotent_reply (created_at);
