/** The page as a whole: who may see it, what is around every screen, and which screen it is. */

import { useEffect, useRef } from "preact/hooks";
import { Component, type ComponentChildren, type FunctionComponent } from "preact";
import { connection, session, status } from "./live/connection";
import { Banner } from "./parts/banner";
import { Bones, Problem } from "./parts/basics";
import { Header } from "./parts/header";
import { Navigation, titleOf } from "./parts/navigation";
import { Said } from "./parts/said";
import { FIRST, route } from "./route";
import { Activity } from "./screens/activity";
import { Enter } from "./screens/enter";
import { Files } from "./screens/files";
import { HeldDeletions } from "./screens/held-deletions";
import { Overview } from "./screens/overview";
import { Roots } from "./screens/roots";
import { Rules } from "./screens/rules";
import { Servers } from "./screens/servers";
import { Settings } from "./screens/settings";
import { Transfers } from "./screens/transfers";

const SCREENS: Record<string, FunctionComponent> = {
  overview: Overview,
  transfers: Transfers,
  files: Files,
  roots: Roots,
  rules: Rules,
  servers: Servers,
  settings: Settings,
  "held-deletions": HeldDeletions,
  activity: Activity,
};

/** Whatever goes wrong in drawing a screen: it says so, and the others are still there. */
class Guarded extends Component<{ of: string; children: ComponentChildren }, { error: Error | null; of: string }> {
  override state = { error: null, of: this.props.of };

  static override getDerivedStateFromError(error: Error) {
    return { error };
  }

  static override getDerivedStateFromProps(props: { of: string }, state: { of: string }) {
    return props.of === state.of ? null : { of: props.of, error: null };
  }

  override render() {
    return this.state.error === null ? this.props.children : <Problem error={this.state.error} again={() => this.setState({ error: null })} />;
  }
}

export function App() {
  const { screen } = route.value;
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const Shown = SCREENS[screen] ?? Overview;
  const isOut = session.value === "out";

  useEffect(() => {
    const title = main.current?.querySelector("h1");
    document.title = `${isOut ? "Not let in" : titleOf(screen)} · PutPlace Assist`;
    if (!isFirst.current) {
      window.scrollTo(0, 0);
      title?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [screen, isOut]);
  useEffect(() => {
    document.documentElement.dataset.connection = connection.value.state;
  }, [connection.value.state]);

  if (isOut) return <Enter />;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the content
      </a>
      <div class="shell">
        <Navigation screen={screen in SCREENS ? screen : FIRST} />
        <div class="shell-right">
          <Header />
          <Banner />
          <main id="main" ref={main} tabIndex={-1} class={`screen screen-${screen}`}>
            {status.value === null ? (
              <Bones lines={5} />
            ) : (
              <Guarded of={screen}>
                <Shown />
              </Guarded>
            )}
          </main>
        </div>
      </div>
      <Said />
    </>
  );
}
