export { copy } from "./copy.ts";
export { file } from "./file.ts";
export { stat } from "./stat.ts";
export { template } from "./template.ts";
export { unarchive } from "./unarchive.ts";
