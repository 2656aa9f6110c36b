export { blockinfile } from "./blockinfile.ts";
export { ini_file } from "./ini-file.ts";
export { lineinfile } from "./lineinfile.ts";
export { replace } from "./replace.ts";
export { xml } from "./xml.ts";
