export { get_url } from "./get-url.ts";
