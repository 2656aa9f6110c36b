export { get_url } from "./get-url.ts";
export { uri } from "./uri.ts";
