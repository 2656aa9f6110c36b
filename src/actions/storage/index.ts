export { filesystem } from "./filesystem.ts";
export { lvg } from "./lvg.ts";
export { lvol } from "./lvol.ts";
export { mount } from "./mount.ts";
export { parted } from "./parted.ts";
