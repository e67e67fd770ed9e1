// A site key is rotated: the former one admits for a while, and each tells who used it last.
export default async (stage) => {
  const { login, password, site, host } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  await ada.signIn(login, password);
  await ada.goto("/sites");
  await ada.heading("Sites");
  await ada.follows(site, page.getByRole("main"));
  await ada.heading(site);
  await ada.sees(host);
  await ada.assertAccessible("a site");
  await ada.shot("site");

  await ada.follows(/Rotate/, page.getByRole("main"));
  await ada.heading("Rotate the site key");
  await ada.assertAccessible("a rotation");
  await page.getByLabel("Both admit for").selectOption({ index: 1 });
  await ada.presses("Make the new key");
  await ada.heading("The new site key");
  await ada.assertAccessible("the new site key");
  await page.getByRole("button", { name: "Copy the line" }).click();
  await page.getByText("Copied", { exact: true }).first().waitFor();
  const line = await page.evaluate(() => navigator.clipboard.readText());
  await stage.want("machines join with both", { line });
  const arrival = page.getByRole("region", { name: "Whether the machine came" });
  await arrival.getByText("after").waitFor();

  await ada.goto("/tickets");
  await ada.heading("Tickets");
  const former = await ada.row("rotated, still admits");
  await former.getByText("overlap").waitFor();
  const fresh = await ada.row(/after/);
  await fresh.getByText("open").waitFor();
  await former.getByRole("link").first().click();
  await ada.sees(/Both admit/);
  await ada.shot("ticket-rotated");
};
