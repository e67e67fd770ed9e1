// From the setup code to the first host: what a newcomer does within the first minute.
export default async (stage) => {
  const { code, login, password } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  const began = Date.now();

  await ada.goto("/");
  await ada.heading(/Set up/);
  await ada.assertAccessible("the setup");
  await ada.shot("setup");
  ada.expects(/status of 4\d\d.*\/setup/);
  await page.getByLabel("Setup code").fill("AAAA-AAAA-AAAA-AAAA");
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("Login").fill(login);
  await page.getByLabel("Password").fill(password);
  await ada.presses("Set up");
  await page.getByRole("alert").first().waitFor();
  await ada.assertAccessible("a setup with a wrong code");

  // What was typed is still there, but for the password.
  await page.getByLabel("Setup code").fill(code);
  await page.getByLabel("Password").fill(password);
  await ada.presses("Set up");
  await ada.heading(/You are in, Ada Lovelace/);
  await ada.assertAccessible("the welcome");

  await ada.follows("Add the first host");
  await ada.heading("Add a host");
  await ada.assertAccessible("adding a host");
  await ada.shot("add-host");
  await page.getByLabel("Name of the host").fill("first");
  await ada.presses("Show what it will admit");
  await ada.heading(/What this .* will admit/);
  await ada.sees("Admitted");
  await ada.assertAccessible("what a ticket will admit");
  await ada.shot("add-host-preview");
  await ada.presses(/^Make the/);
  await ada.heading("One line for first");
  await ada.assertAccessible("the line of a ticket");
  await page.getByRole("button", { name: "Copy the line" }).click();
  await page.getByText("Copied", { exact: true }).first().waitFor();
  const line = await page.evaluate(() => navigator.clipboard.readText());
  await ada.sees("Waiting for the machine");
  await ada.shot("add-host-line");

  const arrival = page.getByRole("region", { name: "Whether the machine came" });
  const typed = Date.now();
  await stage.want("somebody types the line", { line });
  // Nobody reloads: the page turns live.
  await arrival.getByText("joined").waitFor();
  await arrival.getByText("online", { exact: true }).waitFor();
  stage.figure("from the line to the host online", Date.now() - typed, "ms");
  stage.figure("from the first page to the first host online", Date.now() - began, "ms");
  await ada.assertAccessible("a line whose machine came");
  await ada.shot("add-host-joined");
  await ada.follows("first", arrival);
  await ada.heading("first");
  await ada.sees("online");
  await ada.shot("host-first");

  await ada.goto("/");
  await ada.heading("Overview");
  await ada.shot("overview-first");
};
