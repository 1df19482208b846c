"""One module a tab. Each has an ID, its title in targets.TITLES, and

build(desk)     lays the tab out; returns the components that an address may set
opened(query)   what these components show for an address
"""
