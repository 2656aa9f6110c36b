export { pam_limits } from "./pam-limits.ts";
