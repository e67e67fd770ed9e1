// Somebody who was invited opens the link, chooses a login and a password, and is signed in; the link is good once.
export default async (stage) => {
  const { login, password, link, secret, name } = stage.settings;
  const grace = await stage.visitor("grace");
  const { page } = grace;
  grace.expects(/status of 4\d\d.*\/invitation/);
  await grace.goto(link);
  await grace.heading("You are invited");
  // The secret is in the form, and neither to be seen nor in the address, which others may see or keep.
  const field = page.locator("input[name=invitation]");
  const taken = await field.inputValue();
  if (taken !== secret) throw new Error(`the form holds ${JSON.stringify(taken.slice(0, 8))}`);
  if (await field.isVisible()) grace.troubles.push("the secret of the link is shown");
  if (page.url().includes("#")) grace.troubles.push(`the secret stays in the address: ${page.url().split("#")[0]}#…`);
  await grace.assertAccessible("an invitation");
  await grace.shot("invitation");

  await page.getByLabel("Login", { exact: true }).fill(login);
  await page.getByLabel("Password", { exact: true }).fill("too short");
  await page.getByLabel("Password, again", { exact: true }).fill("too short");
  await grace.presses("Accept the invitation");
  const refused = page.getByLabel("Password", { exact: true });
  await page.locator(".field-error").first().waitFor();
  if ((await refused.getAttribute("aria-invalid")) !== "true") grace.troubles.push("the refused field does not say so");
  await grace.assertAccessible("an invitation with a short password");

  // The link need not be opened again.
  await refused.fill(password);
  await page.getByLabel("Password, again", { exact: true }).fill(password);
  await grace.presses("Accept the invitation");
  await grace.heading("Overview");
  await grace.sees(name);

  // Whoever has the link later comes too late, and may paste another one.
  const late = await stage.visitor("late");
  late.expects(/status of 4\d\d.*\/invitation/);
  await late.goto(link);
  await late.page.getByLabel("Login", { exact: true }).fill("somebody.else");
  await late.page.getByLabel("Password", { exact: true }).fill(password);
  await late.page.getByLabel("Password, again", { exact: true }).fill(password);
  await late.presses("Accept the invitation");
  await late.sees(/Ask whoever invited you/);
  await late.page.getByLabel("Invitation", { exact: true }).waitFor();
  await late.assertAccessible("an invitation that is not good any more");

  // The login and the password stand.
  const again = await stage.visitor("again");
  await again.signIn(login, password);
};
