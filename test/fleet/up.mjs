// Boot a fleet by hand: `node test/fleet/up.mjs 3`.
import { fileURLToPath } from "node:url";
import { runTypeScript } from "./lib/run-typescript.mjs";

await runTypeScript(fileURLToPath(new URL("lib/cli.ts", import.meta.url)), process.argv.slice(2));
