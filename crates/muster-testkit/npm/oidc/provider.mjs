// A real OpenID Connect provider on 127.0.0.2 (another site than 127.0.0.1), with people who sign in by themselves. For tests only.
//
// argv[2]: JSON { port, clients: [...], accounts: { <sub>: { name, preferred_username, groups } } }
// Besides the provider's own routes:
//   PUT  /test/state        JSON, merged: { who: <sub>, accounts: {...}, forge: <a forgery of FORGERIES, or null> }
//   GET  /test/state        what is set, and how often documents were fetched
//   GET  /test/page?to=URL  a page of another site that goes to URL by itself, as a link in a mail would

import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const { port, clients, accounts } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.2:${port}`;
const state = { who: Object.keys(accounts)[0], accounts, forge: null, fetched: { discovery: 0, jwks: 0 } };

async function newKey(kid) {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const use = { kid, alg: 'RS256', use: 'sig' };
  return { kid, privateKey, jwk: { ...(await exportJWK(privateKey)), ...use }, shown: { ...(await exportJWK(publicKey)), ...use } };
}
const key = await newKey('first');
const nextKey = await newKey('next');
const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// What a provider, or somebody between, could hand out in place of the token it made.
const sign = (claims, by = key, alg = 'RS256') => new SignJWT(claims).setProtectedHeader({ alg, kid: by.kid }).sign(by.privateKey);
const FORGERIES = {
  'alg-none': (claims) => `${text({ alg: 'none' })}.${text(claims)}.`,
  'alg-hs256': (claims) => new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(clients[0].client_secret)),
  'other-client': (claims) => sign({ ...claims, aud: 'another-client' }),
  'other-issuer': (claims) => sign({ ...claims, iss: 'https://issuer.example' }),
  'other-nonce': (claims) => sign({ ...claims, nonce: 'another-nonce' }),
  'no-nonce': ({ nonce, ...claims }) => sign(claims),
  expired: (claims) => sign({ ...claims, iat: claims.iat - 7200, exp: claims.exp - 7200 }),
  'from-the-future': (claims) => sign({ ...claims, iat: claims.iat + 3600 }),
  'other-key': async (claims) => sign(claims, { ...nextKey, kid: key.kid }),
  'unknown-key': (claims) => sign(claims, { ...nextKey, kid: randomBytes(6).toString('hex') }),
  rotated: (claims) => sign(claims, nextKey),
  'other-access-token': (claims) => sign({ ...claims, at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }),
  cut: async (claims) => (await sign(claims)).replace(/\.[^.]*$/, '.'),
};

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [key.jwk] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], groups: ['groups'] },
  conformIdTokenClaims: process.env.CLAIMS_IN_USERINFO === '1',
  findAccount: (_, sub) => state.accounts[sub] && { accountId: sub, claims: () => ({ sub, ...state.accounts[sub] }) },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  // Everybody consents to everything.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile groups');
    await grant.save();
    return grant;
  },
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/.well-known/openid-configuration') state.fetched.discovery += 1;
  if (ctx.path === '/jwks') state.fetched.jwks += 1;
  await next();
  if (ctx.path === '/jwks' && state.forge === 'rotated') ctx.body = { keys: [nextKey.shown] };
  if (ctx.path === '/token' && ctx.status === 200 && state.forge) {
    const claims = JSON.parse(Buffer.from(ctx.body.id_token.split('.')[1], 'base64url'));
    ctx.body = { ...ctx.body, id_token: await FORGERIES[state.forge](claims) };
  }
});

const asProvider = provider.callback();
const read = async (request) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  return JSON.parse(body);
};
const reply = (response, type, body) => response.writeHead(200, { 'content-type': type }).end(body);

createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === '/test/state') {
    if (request.method === 'PUT') {
      const { accounts: changed, ...rest } = await read(request);
      Object.assign(state, rest);
      Object.assign(state.accounts, changed);
    }
    return reply(response, 'application/json', JSON.stringify(state));
  }
  if (url.pathname === '/test/page') {
    const to = JSON.stringify(url.searchParams.get('to'));
    return reply(response, 'text/html', `<!doctype html><title>elsewhere</title><script>location.href = ${to}</script>`);
  }
  if (url.pathname.startsWith('/interaction/')) {
    // The person the test named signs in; nobody is asked.
    return provider.interactionFinished(request, response, { login: { accountId: state.who } });
  }
  return asProvider(request, response);
}).listen(port, '127.0.0.2', () => console.log('ready'));
