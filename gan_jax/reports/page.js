// The page's controls. Listeners are on the document, so that they also serve a body that is replaced (page_live.js).
(() => {
  'use strict';
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const still = matchMedia('(prefers-reduced-motion: reduce)');
  const theme = document.getElementById('theme');

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === 'dark' : dark.matches;
  }
  function nameTheme() {
    theme.textContent = isDark() ? 'Light theme' : 'Dark theme';
  }
  theme.hidden = false;
  dark.addEventListener('change', nameTheme);
  nameTheme();

  // Boxes that scroll have to be reachable for those who scroll with keys.
  function prepare() {
    for (const box of document.querySelectorAll('.scroll, pre')) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute('tabindex');
    }
    for (const hidden of document.querySelectorAll('.frames [hidden]:not(img), .copy[hidden]')) hidden.hidden = false;
  }

  function show(frames, index) {
    const images = frames.querySelectorAll('img'), range = frames.querySelector('input');
    images.forEach((image, at) => { image.hidden = at !== index; });
    const said = images[index].dataset.said;
    range.value = index;
    range.setAttribute('aria-valuetext', said);
    frames.querySelector('output').textContent = said;
  }
  function pause(frames) {
    clearInterval(frames.timer);
    frames.timer = null;
    frames.querySelector('.play').textContent = 'Play';
  }
  function play(frames) {
    const range = frames.querySelector('input');
    if (Number(range.value) === Number(range.max)) show(frames, 0);
    frames.querySelector('.play').textContent = 'Pause';
    frames.timer = setInterval(() => {
      if (!frames.isConnected) { clearInterval(frames.timer); return; }
      show(frames, Number(range.value) + 1);
      if (Number(range.value) === Number(range.max)) pause(frames);
    }, still.matches ? 1500 : 400);
  }

  async function copy(button) {
    const text = document.getElementById(button.dataset.copies);
    getSelection().selectAllChildren(text);
    let done = true;
    try { await navigator.clipboard.writeText(text.textContent); } catch { done = false; }
    button.textContent = done ? 'Copied' : 'Selected';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  }

  document.addEventListener('input', event => {
    const frames = event.target.closest('.frames');
    if (!frames) return;
    if (event.isTrusted && frames.timer) pause(frames);
    show(frames, Number(event.target.value));
  });
  document.addEventListener('click', event => {
    const button = event.target.closest('button');
    if (!button) return;
    const frames = button.closest('.frames');
    if (button === theme) {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      nameTheme();
    } else if (button.classList.contains('play')) {
      if (frames.timer) pause(frames); else play(frames);
    } else if (button.dataset.frame) {
      pause(frames);
      show(frames, Number(button.dataset.frame));
    } else if (button.classList.contains('copy')) {
      copy(button);
    }
  });
  addEventListener('resize', prepare);
  document.addEventListener('toggle', prepare, true);
  document.addEventListener('replaced', prepare);
  document.addEventListener('play-frames', event => play(event.target));
  prepare();
})();
