// Without JavaScript: sign in, read, filter, set tags.
export default async (stage) => {
  const { login, password, host, name, others } = stage.settings;
  const ada = await stage.visitor("ada", { javaScriptEnabled: false });
  const { page } = ada;
  await ada.signIn(login, password);
  await ada.follows("Hosts", page.getByRole("navigation", { name: "Pages", exact: true }));
  await ada.heading("Hosts");
  for (const each of [name, ...others]) await ada.row(each);
  await page.getByLabel("Search").fill(name);
  await ada.presses("Search");
  await page.waitForURL(new RegExp(`q=${name}`));
  await ada.row(name);
  if (await page.getByText(others[0], { exact: true }).count()) throw new Error(`${others[0]} is not filtered out`);
  await ada.follows(name);
  await ada.heading(name);
  await ada.follows("Manage", page.getByRole("navigation", { name: "Pages of this host" }));
  await page.getByLabel("All tags of this host").fill("role:db rack-7");
  await ada.presses("Set the tags");
  await ada.sees("role:db");
  await ada.goto("/hosts?tag=rack-7");
  await ada.row(name);
};
