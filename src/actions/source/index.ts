export { git } from "./git.ts";
