export { dnf } from "./dnf.ts";
export { rpm_key } from "./rpm-key.ts";
export { yum } from "./yum.ts";
export { yum_repository } from "./yum-repository.ts";
export { zypper } from "./zypper.ts";
