import { render } from "preact";
import { App } from "./app";
import "./styles/page.css";
import "./theme";

render(<App />, document.getElementById("page")!);
