// People look at one fleet: what one does, the others see without a reload, on a phone as on a desk, and nothing jumps.
export default async (stage) => {
  const { login, password, host, name } = stage.settings;
  const ada = await stage.visitor("ada");
  const bob = await stage.visitor("bob", { viewport: { width: 400, height: 860 } });
  await ada.signIn(login, password);
  const eve = await stage.visitor("eve");
  for (const other of [bob, eve]) {
    await other.signIn(login, password);
    await other.goto("/hosts");
    await (await other.row(name)).getByText("active").waitFor();
    await other.live();
    await other.measures("host.suspended", name, "suspended");
  }

  await ada.goto(`/hosts/${host}/manage`);
  await ada.heading(name);
  await ada.presses("Suspend…");
  await ada.heading(/Suspend/);
  await ada.assertAccessible("the preview of a suspension");
  await ada.presses(/^Suspend/);
  for (const other of [bob, eve]) {
    await (await other.row(name)).getByText("suspended").waitFor();
    const { fromEvent, shifts } = await other.measured();
    stage.figure("from an event to the page of somebody else", fromEvent, "ms");
    if (shifts.length) other.troubles.push(`the page jumped as it changed: ${shifts.join(", ")}`);
  }
  await bob.shot("hosts-live-phone");

  // The other way round, from the list; what somebody chose stays chosen.
  await ada.goto("/hosts");
  await ada.page.getByLabel(`Choose ${name}`).check();
  await ada.presses("Resume…");
  await ada.heading(/Resume/);
  await ada.assertAccessible("the preview of a change of several hosts");
  await ada.presses(/^Resume/);
  await (await bob.row(name)).getByText("active").waitFor();
};
