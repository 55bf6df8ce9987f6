/** Renders the page into its document. */
import { render } from "preact";
import { App } from "./views/app.tsx";

const page = document.getElementById("page");
if (page === null) throw new Error("index.html has no element with the id page");
render(<App />, page);
