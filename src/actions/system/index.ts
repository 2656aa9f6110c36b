export { command, shell } from "./command.ts";
export { cron } from "./cron.ts";
export { getent } from "./getent.ts";
export { hostname } from "./hostname.ts";
export { locale_gen } from "./locale-gen.ts";
export { modprobe } from "./modprobe.ts";
export { reboot } from "./reboot.ts";
export { sysctl } from "./sysctl.ts";
export { timezone } from "./timezone.ts";
