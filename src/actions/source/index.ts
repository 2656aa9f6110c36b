export { git } from "./git.ts";
export { git_config } from "./git-config.ts";
export { make } from "./make.ts";
export { subversion } from "./subversion.ts";
