export { blockinfile } from "./blockinfile.ts";
export { lineinfile } from "./lineinfile.ts";
export { replace } from "./replace.ts";
