// The main pages at three sizes and in both colours, for README and docs.
const WIDE = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };

export default async (stage) => {
  const { login, password, vault, job, press } = stage.settings;
  const ada = await stage.visitor("ada", { deviceScaleFactor: 1 });
  await ada.signIn(login, password);
  const { page } = ada;
  const take = async (name, address, { size = WIDE, colorScheme = "light" } = {}) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    await ada.goto(address);
    await ada.shot(`picture-${name}`);
  };
  // The overview knows who is there by now.
  await ada.goto("/hosts?presence=online");
  await ada.row("scale-2");
  await take("overview", "/");
  await take("overview-dark", "/", { colorScheme: "dark" });
  await take("hosts", "/hosts");
  await take("hosts-dark", "/hosts", { colorScheme: "dark" });
  await take("host", `/hosts/${vault}`);
  await take("job", `/jobs/${job}`);
  await take("approvals", "/approvals");
  await take("timeline", `/hosts/${press}/activity`);
  await take("phone-overview", "/", { size: PHONE });
  await take("phone-host", `/hosts/${vault}`, { size: PHONE, colorScheme: "dark" });
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(WIDE);
  await ada.goto("/hosts/add");
  await ada.shot("picture-add-host");
};
