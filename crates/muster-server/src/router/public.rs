//! What nobody needs a permission for.

/// Routes anybody may call, with what protects them instead of a permission.
pub const PUBLIC: &[(&str, &str)] = &[
    ("/v1/setup", "the one-time setup code, printed on the server machine"),
    ("/v1/sign-in/methods", "says what every sign-in page shows"),
    (
        "/v1/oidc/{name}/start",
        "changes nothing: gives a browser a sealed cookie and sends it to a configured provider",
    ),
    (
        "/v1/oidc/callback",
        "the sealed cookie of the browser that started, its state and nonce, PKCE, and the provider's signature",
    ),
    (
        "/v1/enroll/fork",
        "a proof by the new key and a statement by a key of a host; it opens a claim and nothing else; failures are limited",
    ),
    ("/v1/sign-in", "the password and the second factor; failures are limited before the work is done"),
    ("/v1/invitations/accept", "the secret of an invitation that is open; failures are limited"),
    ("/healthz", "says nothing but that the process runs"),
    ("/readyz", "says nothing but that the database answers"),
    ("/metrics", "served on the operators' loopback listener only; holds no names"),
    ("/v1/openapi.json", "the same for every installation"),
    ("/docs", "the same for every installation"),
];
