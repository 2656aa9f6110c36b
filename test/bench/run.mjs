// The 88 actions on systemd hosts, in each way there is: `npm run bench -- --hosts 1,10 --runs 5` (needs root).
import { fileURLToPath } from "node:url";
import { runTypeScript } from "../fleet/lib/run-typescript.mjs";

await runTypeScript(fileURLToPath(new URL("bench.ts", import.meta.url)), process.argv.slice(2));
