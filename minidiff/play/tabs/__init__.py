"""One module a tab. Each has an ID and a TITLE, and

build(desk)     lays the tab out; returns the components that an address may set
opened(query)   what these components show for an address
"""
