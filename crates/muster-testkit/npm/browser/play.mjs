// Plays one flow, a module whose default export takes the stage: `node play.mjs FLOW.mjs`. Its settings are the
// environment; it ends with 0 when the flow came to its end and nothing else went wrong in any of its browsers.
import { pathToFileURL } from "node:url";
import { Stage } from "./stage.mjs";

const stage = await Stage.open();
try {
  const flow = await import(pathToFileURL(process.argv[2]));
  await flow.default(stage);
  stage.assertNoTrouble();
} catch (error) {
  console.log(`the flow failed: ${String(error.stack ?? error).replaceAll(/\u001b\[\d+m/g, "")}`);
  await stage.tell();
  process.exitCode = 1;
} finally {
  await stage.close();
}
