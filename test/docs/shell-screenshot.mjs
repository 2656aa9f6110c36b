// Makes the documentation's picture of volley shell from a real session: node test/docs/shell-screenshot.mjs [file]
// Needs what the fleet tests need (test/fleet/README.md), and tmux.
import { fileURLToPath } from "node:url";
import { runTypeScript } from "../fleet/lib/run-typescript.mjs";

const session = fileURLToPath(new URL("shell-session.ts", import.meta.url));
const svg = fileURLToPath(new URL("../../docs/shell.svg", import.meta.url));
const draw = new URL("draw-screen.mjs", import.meta.url).href;
await runTypeScript(session, [process.argv[2] ?? svg, draw]);
