-- What people keep of the list of hosts: its filters, under a name of their own, in one team.
CREATE TABLE saved_view (
    user_id UUID_T NOT NULL REFERENCES person (id),
    team_id UUID_T NOT NULL REFERENCES team (id),
    name TEXT_KEY NOT NULL,
    query TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, team_id, name)
);
