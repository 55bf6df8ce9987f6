/** What reads bodies of other formats than pprof, and files: an entry of its own, since worker threads alone read them. */
export { readFormat } from "../formats/formats.ts";
export { readProfileFile } from "./profile-file.ts";
export type { FileProfile } from "./profile-file.ts";
