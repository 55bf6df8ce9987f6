/** What is wrong with the URL of a server that is asked. The sentence never holds the text, which may hold a password. */
export function faultOfUrl(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") return "it is not a URL of http or https: write it as http://host:port/path";
  if (url.username !== "" || url.password !== "") return "credentials do not belong in a URL: write basic_auth";
  return undefined;
}
