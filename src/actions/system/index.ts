export { command, shell } from "./command.ts";
export { cron } from "./cron.ts";
export { hostname } from "./hostname.ts";
export { reboot } from "./reboot.ts";
export { sysctl } from "./sysctl.ts";
