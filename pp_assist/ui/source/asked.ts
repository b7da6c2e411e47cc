/** What `npm run dev` passes on to the daemon: whatever is not of the page itself. */
export const ASKED = "^/(?!ui(/|$|\\?))";
