// A claim is looked at and decided with the keyboard alone.
export default async (stage) => {
  const { login, password, host, machine } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  await ada.signIn(login, password);
  await ada.goto("/approvals");
  await ada.heading("Approvals");
  await ada.sees(machine);
  await ada.sees(host);
  await ada.sees(/two machines at once/i);
  await ada.assertAccessible("approvals");
  await ada.shot("approvals");
  await ada.live();
  // From the top of the page: j goes to the first claim, n admits it as a new host.
  await page.keyboard.press("j");
  const focused = await page.evaluate(() => document.activeElement?.closest("[data-item]")?.textContent ?? "");
  if (!focused.includes(machine)) throw new Error(`j goes to ${JSON.stringify(focused.slice(0, 80))}`);
  await page.keyboard.press("n");
  await ada.sees(`${machine} became a host of its own`);
  await ada.sees("Nobody waits for you");
  await ada.assertAccessible("approvals that were decided");
  await ada.follows(machine, page.getByRole("main"));
  await ada.heading(machine);
};
