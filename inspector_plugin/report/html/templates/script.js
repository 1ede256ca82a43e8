"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const list = find("list"), controls = find("controls"), count = find("count");
  const value = (id) => (find(id) ? find(id).value : "");
  const responses = Array.from(list.children, (element) => ({
    element,
    number: Number(element.dataset.number),
    id: element.dataset.id,
    model: element.dataset.model,
    length: Number(element.dataset.length),
    unscored: "unscored" in element.dataset,
    flags: element.dataset.flags.split(" ").filter(Boolean),
    differences: JSON.parse(element.dataset.differences),
    text: element.textContent.toLowerCase(),
    parts: element.querySelectorAll("[data-k], [data-j]"),
    scores: Array.from(element.querySelectorAll("td[data-j]"), (cell) => ({
      key: cell.parentElement.dataset.k,
      judge: cell.dataset.j,
      asked: cell.textContent !== "",
      score: Number.isNaN(parseFloat(cell.textContent)) ? null : parseFloat(cell.textContent),
    })).filter((score) => score.asked),
  }));

  const chosen = (response, key, judge) => response.scores.filter(
    (each) => (!key || each.key === key) && (!judge || each.judge === judge));
  const difference = (response, key) => {
    const all = key ? [response.differences[key]] : Object.values(response.differences);
    return Math.max(-1, ...all.filter((each) => each !== undefined));
  };
  const mean = (response, key, judge) => {
    const scores = chosen(response, key, judge).map((each) => each.score).filter((s) => s !== null);
    return scores.length ? scores.reduce((sum, each) => sum + each, 0) / scores.length : null;
  };

  function shows(response, wanted) {
    if (wanted.model && response.model !== wanted.model) return false;
    const scores = chosen(response, wanted.key, wanted.judge);
    if (!scores.length) return false;
    if (wanted.state === "differ" && !(difference(response, wanted.key) > 0)) return false;
    if (wanted.state === "flagged" && !response.flags.length) return false;
    if (wanted.state === "unscored" && !scores.some((each) => each.score === null)) return false;
    if (wanted.state.startsWith("flag:") && !response.flags.includes(wanted.state.slice(5))) return false;
    return wanted.words.every((word) => response.text.includes(word));
  }

  function order(wanted) {
    const last = (one, two) => (one === null) - (two === null);
    const by = {
      telling: () => 0,
      difference: (a, b) => difference(b, wanted.key) - difference(a, wanted.key),
      low: (a, b) => last(a.mean, b.mean) || a.mean - b.mean,
      high: (a, b) => last(a.mean, b.mean) || b.mean - a.mean,
      long: (a, b) => b.length - a.length,
      short: (a, b) => a.length - b.length,
      id: (a, b) => a.id.localeCompare(b.id, "en", { numeric: true }),
    }[wanted.sort];
    for (const each of responses) each.mean = mean(each, wanted.key, wanted.judge);
    return responses.slice().sort((a, b) => by(a, b) || a.number - b.number);
  }

  function update() {
    const wanted = {
      sort: value("sort"), key: value("key"), judge: value("judge"), model: value("model"),
      state: value("state"), words: value("search").toLowerCase().split(/\s+/).filter(Boolean),
    };
    let shown = 0;
    const sorted = document.createDocumentFragment();
    for (const response of order(wanted)) {
      const visible = shows(response, wanted);
      response.element.hidden = !visible;
      shown += visible;
      for (const part of response.parts) {
        const { k: key, j: judge } = part.dataset;
        part.hidden = Boolean(
          (wanted.key && key && key !== wanted.key)
          || (wanted.judge && judge && judge !== wanted.judge));
      }
      sorted.append(response.element);
    }
    list.append(sorted);
    count.textContent = `${shown} of ${responses.length} responses`;
  }

  controls.hidden = false;
  controls.addEventListener("input", update);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("reset", () => setTimeout(update));
  find("open").addEventListener("click", () => {
    for (const each of responses) if (!each.element.hidden) each.element.open = true;
  });
  find("close").addEventListener("click", () => {
    for (const each of responses) each.element.open = false;
  });
  update();
})();
