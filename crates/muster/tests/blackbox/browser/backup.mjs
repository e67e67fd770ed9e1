// A backup is started by hand, and its log is followed to its end without a reload.
export default async (stage) => {
  const { login, password, host, name, path } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  await ada.signIn(login, password);
  await ada.goto(`/hosts/${host}`);
  await ada.heading(name);
  await ada.sees("No good backup yet.");
  await ada.follows("Back up now");
  await page.getByLabel("Folders and files").fill(path);
  await ada.assertAccessible("starting a backup");
  await ada.presses("Back up now", page.getByRole("region", { name: "Back up now" }));
  await page.waitForURL(/\/jobs\/[^/]+$/);
  await page.getByText("succeeded", { exact: true }).first().waitFor({ timeout: 60_000 });
  await page.getByLabel("Lines of the log").filter({ hasText: "made a new repository" }).waitFor();
  await ada.assertAccessible("a job");
  await ada.shot("job");
  const ran = await page.evaluate(() => [window.ran, document.querySelectorAll("main img").length]);
  await ada.sees(path);
  if (ran[0] !== undefined || ran[1] !== 0) throw new Error(`the job took text for a page: ${ran}`);
  await ada.goto(`/hosts/${host}`);
  await ada.sees("Last good backup");
  await ada.assertAccessible("a host with a backup");
  await ada.shot("host");
};
