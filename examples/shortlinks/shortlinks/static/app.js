const form = document.querySelector("#add");
const said = form.querySelector("output");
const table = document.querySelector("#links");

function say(text, kind = "") {
  said.textContent = text;
  said.className = kind;
}

function cell(content, name = "") {
  const made = document.createElement("td");
  made.append(content);
  made.className = name;
  return made;
}

function row(link) {
  const short = document.createElement("a");
  short.href = `/${link.slug}`;
  short.textContent = link.slug;
  const remove = document.createElement("button");
  remove.textContent = "Remove";
  remove.onclick = async () => {
    await fetch(`/api/links/${encodeURIComponent(link.slug)}`, { method: "DELETE" });
    await show();
  };
  const made = document.createElement("tr");
  made.append(cell(short), cell(link.url), cell(String(link.hits), "number"), cell(remove));
  return made;
}

async function show() {
  const links = await (await fetch("/api/links")).json();
  table.replaceChildren(...links.map(row));
}

form.onsubmit = async (event) => {
  event.preventDefault();
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  const response = await fetch("/api/links", { method: "POST", body });
  const answer = await response.json();
  if (!response.ok) {
    say(answer.error, "error");
    return;
  }
  say(`${location.origin}/${answer.slug}`);
  form.reset();
  await show();
};

await show();
