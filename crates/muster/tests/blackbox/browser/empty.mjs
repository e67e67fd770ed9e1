// A team in which nothing happened yet: every page says what to do next.
export default async (stage) => {
  const { login, password } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  await ada.signIn(login, password);
  for (const address of ["/", "/hosts", "/approvals", "/sites", "/tickets", "/jobs", "/events", "/webhooks", "/audit", "/team"]) {
    try {
      await ada.goto(address);
    } catch (error) {
      ada.troubles.push(String(error.message ?? error).split("\n")[0]);
      continue;
    }
    await page.getByRole("heading", { level: 1 }).waitFor();
    await ada.assertAccessible(`an empty ${address}`);
    const next = page.getByRole("main").locator("a, button, code");
    if ((await next.count()) === 0) ada.troubles.push(`${address} says nothing about what to do next`);
  }
};
