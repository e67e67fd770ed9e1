// Every page at three widths and in two colours: accessible, and no wider than the screen.
const MENU = ["overview", "hosts", "approvals", "sites", "tickets", "jobs", "events", "webhooks", "audit", "team"];
// What only an admin of the installation sees.
const ADMINS = {
  certificate: "/settings/certificate", "instruction-key": "/settings/instruction-key",
  providers: "/settings/providers", teams: "/teams",
};
const WIDTHS = [[1280, 860], [400, 860], [360, 740]];

// What can differ with the width and the colours.
const SEEN = ["color-contrast", "scrollable-region-focusable", "target-size", "link-in-text-block"];

const looksAt = async (ada, menu, below) => {
  const { page } = ada;
  const links = await page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link").all();
  const found = await Promise.all(links.map(async (link) => [(await link.innerText()).trim().toLowerCase(), await link.getAttribute("href")]));
  for (const name of menu) {
    if (!found.some(([label]) => label === name)) ada.troubles.push(`the menu has no ${name}: ${found}`);
  }
  const pages = [...found.filter(([label]) => menu.includes(label)), ...Object.entries(below)];
  for (const [name, address] of pages) {
    const isBelow = name in below;
    try {
      await ada.goto(address);
    } catch (error) {
      ada.troubles.push(String(error.message ?? error).split("\n")[0]);
      continue;
    }
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const [width, height] of WIDTHS) {
        // The pages below the menu are made of the same parts: the widest in light, the narrowest in dark.
        if (isBelow && `${width} ${colorScheme}` !== "1280 light" && `${width} ${colorScheme}` !== "360 dark") continue;
        await page.setViewportSize({ width, height });
        const what = `${name}-${width}-${colorScheme}`;
        await ada.assertNoSidewaysScroll(what);
        if (what.endsWith("-1280-light")) await ada.assertAccessible(what);
        else if (width !== 400) await ada.assertAccessible(what, SEEN);
        await ada.shot(what);
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 860 });
  }
};

export default async (stage) => {
  const { login, admin, password, pages } = stage.settings;
  const ada = await stage.visitor("ada");
  await ada.signIn(login, password);
  await ada.goto("/events");
  pages.event = await ada.page.getByRole("link", { name: "Details" }).first().getAttribute("href");
  await looksAt(ada, MENU, pages);
  const root = await stage.visitor("root");
  await root.signIn(admin, password);
  await looksAt(root, ["settings"], ADMINS);
};
