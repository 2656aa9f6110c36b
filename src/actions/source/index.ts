export { git } from "./git.ts";
export { subversion } from "./subversion.ts";
