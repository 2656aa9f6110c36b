export { service } from "./service.ts";
export { systemd } from "./systemd.ts";
