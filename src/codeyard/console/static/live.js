// Keeps a page as the server has it: durations go on by themselves, lists are fetched again after a while.

/** As the server says it: see words.py. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Durations of what goes on, as they are now. */
export function tick() {
  for (const each of document.querySelectorAll('[data-since]')) {
    const text = duration((Date.now() - Date.parse(each.dataset.since)) / 1000);
    if (each.textContent !== text) each.textContent = text;
  }
}

async function refresh() {
  const live = document.getElementById('live');
  const seconds = Number(live?.dataset.live);
  if (!seconds) return;
  if (!document.hidden && !live.contains(document.activeElement)) {
    try {
      const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
      if (answer.status === 401) return location.reload();
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const now = page.getElementById('live');
      if (answer.ok && now) {
        live.replaceWith(document.adoptNode(now));
        document.title = page.title;
      }
    } catch {
      // The server is away: it is asked again.
    }
  }
  setTimeout(refresh, 1000 * (Number(document.getElementById('live')?.dataset.live) || seconds));
}

setInterval(tick, 1000);
setTimeout(refresh, 1000 * Number(document.getElementById('live')?.dataset.live || 0) || 1e9);
