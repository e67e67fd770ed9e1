// What machines and people say about themselves is shown as it is, and nothing of it runs.
export default async (stage) => {
  const { login, password, host, job, claim, name, hostname, os, twin, site, person } = stage.settings;
  const ada = await stage.visitor("ada");
  const { page } = ada;
  await ada.signIn(login, password);
  const shows = async (address, ...texts) => {
    try {
      await ada.goto(address);
    } catch (error) {
      ada.troubles.push(String(error.message ?? error).split("\n")[0]);
      return;
    }
    await page.getByRole("heading", { level: 1 }).waitFor();
    const shown = await page.locator("body").innerText();
    for (const text of texts) {
      if (!shown.includes(text)) ada.troubles.push(`${address} does not show ${JSON.stringify(text)}`);
    }
    const ran = await page.evaluate(() => [window.ran, document.querySelectorAll("img, main script, iframe, [onload], [onerror]").length]);
    if (ran[0] !== undefined || ran[1] !== 0) ada.troubles.push(`${address} took text for a page: ${ran}`);
    await page.setViewportSize({ width: 360, height: 740 });
    await ada.assertNoSidewaysScroll(`${address} with long names`);
    await page.setViewportSize({ width: 1280, height: 860 });
  };
  await shows("/hosts", name, os);
  await shows(`/hosts?q=${encodeURIComponent(name)}`, name);
  await shows(`/hosts/${host}`, name, os, hostname);
  for (const part of ["activity", "jobs", "secrets", "keys", "manage", "retire"]) await shows(`/hosts/${host}/${part}`, name);
  await shows("/approvals", twin);
  await shows(`/approvals/${claim}`, twin, name, os);
  await shows("/sites", site);
  await shows("/jobs", name);
  await shows(`/jobs/${job}`, name);
  await shows("/team/invitations", person);
  await shows("/tickets", name);
  await shows("/audit");
  await shows("/events");
  await shows("/");
  const query = "\"><script>window.ran=1</script>";
  for (const path of ["/hosts", "/audit", "/jobs", "/tickets", "/events", "/approvals"]) {
    ada.expects(new RegExp(`status of 4\\d\\d.*${path}`));
    await page.goto(`${path}?q=${encodeURIComponent(query)}&tag=${encodeURIComponent(query)}&cursor=${encodeURIComponent(query)}`);
    if ((await page.evaluate(() => window.ran)) !== undefined) ada.troubles.push(`${path} ran its query`);
  }
};
