// The 88 actions on N systemd hosts, cold and warm: `npm run bench -- --hosts 10 --runs 5` (needs root).
import { fileURLToPath } from "node:url";
import { runTypeScript } from "../fleet/lib/run-typescript.mjs";

await runTypeScript(fileURLToPath(new URL("bench.ts", import.meta.url)), process.argv.slice(2));
