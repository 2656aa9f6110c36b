export { service } from "./service.ts";
export { service_facts } from "./service-facts.ts";
export { supervisorctl } from "./supervisorctl.ts";
export { systemd, systemd_service } from "./systemd.ts";
