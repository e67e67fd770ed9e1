// A key is revoked: the machine is refused at once, and every page of the host says so.
export default async (stage) => {
  const { login, password, host, name } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  await ada.signIn(login, password);
  const watcher = await stage.visitor("watcher");
  await watcher.signIn(login, password);
  await watcher.goto(`/hosts/${host}/keys`);
  await (await watcher.row("active")).waitFor();
  await watcher.live();

  await ada.goto(`/hosts/${host}`);
  await ada.heading(name);
  await ada.follows("Keys", page.getByRole("navigation", { name: "Pages of this host" }));
  await ada.sees("active");
  await ada.assertAccessible("the keys of a host");
  await ada.follows("Revoke", page.getByRole("main"));
  await ada.sees("It is the only key of this host.");
  await ada.assertAccessible("the preview of a revocation");
  await ada.shot("revoke");
  await ada.presses("Revoke the key");
  await (await ada.row("revoked")).waitFor();
  await stage.want("the agent gives up");
  // Who looked on saw it without a reload.
  await (await watcher.row("revoked")).waitFor();
  await ada.goto(`/hosts/${host}/activity`);
  await ada.sees(/key.*revoked/i);
  await ada.assertAccessible("what happened to a host");
  await ada.goto(`/hosts/${host}`);
  await ada.shot("host-revoked");
};
