// A session ends while a live page is open: the page leads to the sign-in, and from there back to itself.
export default async (stage) => {
  const { login, password, name } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  // The line that tells of events breaks, and its next try is refused.
  ada.expects(/status of 401.*\/live/);
  ada.expects(/net::ERR_INCOMPLETE_CHUNKED_ENCODING.*\/live/);
  await ada.signIn(login, password);
  const address = "/hosts?state=active&q=some";
  await ada.goto(address);
  await ada.row(name);
  await ada.live();
  const asked = page.waitForURL(/\/sign-in\?return_to=/, { timeout: 40_000 });
  await stage.want("the session ends");
  const ended = Date.now();
  await asked;
  stage.figure("from the end of a session to the sign-in", Date.now() - ended, "ms");
  await ada.fillSignIn(login, password);
  await ada.row(name);
  const { pathname, search } = new URL(page.url());
  if (pathname + search !== address) throw new Error(`back at ${pathname}${search}`);
};
