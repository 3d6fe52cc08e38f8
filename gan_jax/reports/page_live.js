// `gan-jax watch`: takes the page again when the server has drawn a new one, and leaves the reader where they are.
(() => {
  'use strict';
  let version = Number(document.body.dataset.version);
  const seconds = Number(document.body.dataset.seconds);

  // Where the reader is: by id, what is open, which frame is shown, what is scrolled, and what has the focus.
  function place() {
    const frames = [...document.querySelectorAll('.frames')].map(box => {
      const range = box.querySelector('input'), at = Number(range.value);
      const last = at === Number(range.max);
      return { id: box.id, last, said: box.querySelectorAll('img')[at].dataset.said, plays: Boolean(box.timer) };
    });
    const open = [...document.querySelectorAll('details[open]')].map(box => box.id);
    const scrolled = [...document.querySelectorAll('.scroll, pre')].map(box => box.scrollLeft);
    // What is read is kept in its place, whatever becomes of the parts above it.
    const heading = [...document.querySelectorAll('h2')].find(part => part.getBoundingClientRect().top >= 0);
    const anchor = scrollY && heading ? { id: heading.id, at: heading.getBoundingClientRect().top } : null;
    return { frames, open, scrolled, focus: document.activeElement.id, top: scrollY, anchor };
  }
  function comeBack(was) {
    for (const { id, last, said: name, plays } of was.frames) {
      const box = document.getElementById(id);
      if (!box) continue;
      const range = box.querySelector('input'), images = [...box.querySelectorAll('img')];
      const same = images.findIndex(image => image.dataset.said === name);
      range.value = last && !plays || same < 0 ? range.max : same;
      range.dispatchEvent(new Event('input', { bubbles: true }));
      if (plays) box.dispatchEvent(new Event('play-frames', { bubbles: true }));
    }
    for (const id of was.open) if (document.getElementById(id)) document.getElementById(id).open = true;
    const boxes = document.querySelectorAll('.scroll, pre');
    if (boxes.length === was.scrolled.length) boxes.forEach((box, at) => { box.scrollLeft = was.scrolled[at]; });
    if (was.focus && document.getElementById(was.focus)) {
      document.getElementById(was.focus).focus({ preventScroll: true });
    }
    const heading = was.anchor && document.getElementById(was.anchor.id);
    const top = heading ? scrollY + heading.getBoundingClientRect().top - was.anchor.at : was.top;
    scrollTo({ top, behavior: 'instant' });
  }

  async function look() {
    let state;
    try {
      state = await (await fetch('/state', { cache: 'no-store' })).json();
      if (state.version !== version) {
        const fresh = new DOMParser().parseFromString(await (await fetch('/', { cache: 'no-store' })).text(), 'text/html');
        const was = place();
        for (const part of ['header > div', '.layout', 'footer']) {
          document.querySelector(part).replaceWith(fresh.querySelector(part));
        }
        document.title = fresh.title;
        version = Number(fresh.body.dataset.version);
        document.body.dataset.version = version;
        document.dispatchEvent(new Event('replaced'));
        comeBack(was);
      }
    } catch {
      document.getElementById('live').textContent = 'The server does not answer: this is what it showed last.';
      version = -1;
      setTimeout(look, 5000 * seconds);
      return;
    }
    if (!state.ended) setTimeout(look, 1000 * seconds);
  }
  if (document.body.dataset.ended !== 'true') setTimeout(look, 1000 * seconds);
})();
