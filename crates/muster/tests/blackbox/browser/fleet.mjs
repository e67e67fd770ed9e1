// A large fleet: what a page weighs, and how long it takes.

const WEIGHT_LIMIT = 60 * 1024;

// The bytes that came over the line, as Chromium counts them.
const weigh = async (ada, address) => {
  const session = await ada.context.newCDPSession(ada.page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  const kinds = new Map();
  let bytes = 0;
  session.on("Network.responseReceived", ({ requestId, response }) => kinds.set(requestId, response.url));
  const parts = [];
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    bytes += encodedDataLength;
    parts.push(`${encodedDataLength} ${new URL(kinds.get(requestId) ?? "data:,?").pathname}`);
  });
  await ada.goto(address);
  await ada.page.waitForLoadState("networkidle").catch(() => {});
  await session.detach();
  return { bytes, parts };
};

const timing = (ada) =>
  ada.page.evaluate(() => {
    const { requestStart, responseStart, domContentLoadedEventEnd, loadEventEnd, startTime } = performance.getEntriesByType("navigation")[0];
    return { firstByte: responseStart - requestStart, ready: domContentLoadedEventEnd - startTime, loaded: loadEventEnd - startTime };
  });

export default async (stage) => {
  const { login, password, hosts } = stage.settings;
  const ada = await stage.visitor("ada");
  await ada.signIn(login, password);
  for (const [what, address] of [
    ["first page", "/hosts"],
    ["with a common tag", "/hosts?tag=odd"],
    ["that were suspended", "/hosts?state=suspended"],
    ["whose name begins like one", "/hosts?q=fleet-0000777"],
    ["whose name begins like none", "/hosts?q=zebra"],
    ["of all presences that are never seen", "/hosts?presence=never_seen"],
  ]) {
    await ada.goto(address);
    await ada.heading("Hosts");
    const { firstByte, ready } = await timing(ada);
    stage.figure(`${hosts} hosts, ${what}: first byte`, firstByte.toFixed(1), "ms");
    stage.figure(`${hosts} hosts, ${what}: ready`, ready.toFixed(1), "ms");
  }
  await ada.goto("/hosts");
  await ada.follows("Next page");
  await ada.page.waitForURL(/cursor=/);
  stage.figure(`${hosts} hosts, second page: first byte`, (await timing(ada)).firstByte.toFixed(1), "ms");
  await ada.goto("/");
  await ada.heading("Overview");
  stage.figure(`${hosts} hosts, overview: first byte`, (await timing(ada)).firstByte.toFixed(1), "ms");

  for (const address of ["/hosts", "/"]) {
    const { bytes, parts } = await weigh(ada, address);
    stage.figure(`${address} with all it needs`, bytes, "bytes");
    if (bytes > WEIGHT_LIMIT) throw new Error(`${address} weighs ${bytes} bytes: ${parts.join(", ")}`);
  }
};
