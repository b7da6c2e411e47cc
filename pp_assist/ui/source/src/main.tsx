import { render } from "preact";
import { App } from "./app";
import { enter } from "./api/routes";
import { isTicket, takeTicket } from "./enter";
import { keepAsking, session } from "./live/connection";
import { keepListening } from "./live/stream";
import { dress } from "./parts/theme";
import { follow } from "./route";
import "uplot/dist/uPlot.min.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/lists.css";
import "./styles/screens.css";

/** Show the ticket that we were opened with, if any. Without, or where it is refused, the cookie of last time may do. */
async function begin(): Promise<void> {
  const ticket = takeTicket();
  if (ticket !== null) await enter(ticket).catch(() => undefined);
  session.value = "in";
}

dress();
follow();
void keepAsking();
void keepListening();
void begin();
window.addEventListener("hashchange", () => {
  if (isTicket()) void begin();
});
const page = document.getElementById("page");
if (page !== null) render(<App />, page);
